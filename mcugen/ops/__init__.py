"""The operators of the integer graph, one file each; a new operator is a new file and a line here."""

from __future__ import annotations

from mcugen.ops.avgpool import AvgPool
from mcugen.ops.base import Operator
from mcugen.ops.concat import Concat
from mcugen.ops.conv2d import Conv2D
from mcugen.ops.curve import Curve
from mcugen.ops.depthwise import Depthwise
from mcugen.ops.map import Map
from mcugen.ops.maxpool import MaxPool
from mcugen.ops.pad import Pad
from mcugen.ops.permute import Permute
from mcugen.ops.reshape import Reshape
from mcugen.ops.resize import Resize

_ALL = (Conv2D(), Depthwise(), AvgPool(), Map(), MaxPool(), Concat(), Pad(), Resize(), Permute(), Reshape(), Curve())
OPERATORS: dict[str, Operator] = {op.name: op for op in _ALL}
