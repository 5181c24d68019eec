"""The chart library's names, without what importing it leaves behind. Imports pygal."""

import sys

from pygal import Line, StackedBar
from pygal.style import Style

# pygal adds an import hook of Python 2's kind, of which Python warns with every later import. It finds charts
# that other packages would add, of which there are none here.
sys.meta_path[:] = [each for each in sys.meta_path if type(each).__name__ != "PluginImportFixer"]

__all__ = ["Line", "StackedBar", "Style"]
