"""From a trained mixed-precision QKeras model to verified firmware on a microcontroller."""

__version__ = "0.1.0"
