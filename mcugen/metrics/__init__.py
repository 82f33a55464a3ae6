"""Figures of merit: verification accuracy, curves, agreement of formats, fidelity, person angles, detection.

Every function takes plain NumPy arrays, needs neither Pillow nor matplotlib, and refuses what cannot be measured
(NaN, zero vectors, one class only, too few impostors) with a `McugenError` instead of returning a plausible number.
"""
