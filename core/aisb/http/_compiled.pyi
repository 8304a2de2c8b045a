from aisb.http.arrivals import PlainArrivals
from aisb.http.pattern import PlainPattern

REVISION: int

class Arrivals(PlainArrivals): ...
class Pattern(PlainPattern): ...
