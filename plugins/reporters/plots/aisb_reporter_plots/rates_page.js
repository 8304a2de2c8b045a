// The page of rates.
"use strict";

plots(rateCharts);
