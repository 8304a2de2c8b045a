// The page of requests.
"use strict";

plots(requestCharts);
