# SPDX-License-Identifier: GPL-2.0-only
# The public names, each with its module.  __init__.py reads this list: keep a name to a line.

from percpu_ffi._version import __version__ as __version__
from percpu_ffi.allocator import Allocator as Allocator
from percpu_ffi.area import Area as Area
from percpu_ffi.custom import CustomPolicy as CustomPolicy
from percpu_ffi.embed import get_include as get_include
from percpu_ffi.embed import get_library as get_library
from percpu_ffi.embed import get_sources as get_sources
from percpu_ffi.embed.builder import get_ffibuilder as get_ffibuilder
from percpu_ffi.errors import ClosedError as ClosedError
from percpu_ffi.errors import ConfigError as ConfigError
from percpu_ffi.errors import DoubleFree as DoubleFree
from percpu_ffi.errors import InteriorPointer as InteriorPointer
from percpu_ffi.errors import InvalidPointer as InvalidPointer
from percpu_ffi.errors import InvalidRequest as InvalidRequest
from percpu_ffi.errors import InvariantError as InvariantError
from percpu_ffi.errors import OtherUnitPointer as OtherUnitPointer
from percpu_ffi.errors import PercpuError as PercpuError
from percpu_ffi.errors import PercpuMemoryError as PercpuMemoryError
from percpu_ffi.errors import PercpuWarning as PercpuWarning
from percpu_ffi.errors import PolicyError as PolicyError
from percpu_ffi.errors import StaticPointer as StaticPointer
from percpu_ffi.errors import StatsError as StatsError
from percpu_ffi.errors import TraceError as TraceError
from percpu_ffi.errors import WildPointer as WildPointer
from percpu_ffi.interface import PerCpu as PerCpu
from percpu_ffi.model import Model as Model
from percpu_ffi.replay import Failure as Failure
from percpu_ffi.replay import Replay as Replay
from percpu_ffi.state import ChunkState as ChunkState
from percpu_ffi.state import Location as Location
from percpu_ffi.state import State as State
from percpu_ffi.trace import Places as Places
from percpu_ffi.trace import Trace as Trace
from percpu_ffi.trace import TraceStats as TraceStats
from percpu_ffi.tracing.ftrace import Tracing as Tracing
from percpu_ffi.work import Work as Work
from percpu_ffi.work import WorkByCall as WorkByCall

__all__: list[str]
