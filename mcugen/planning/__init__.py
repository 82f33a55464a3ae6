"""Memory planning: buffers with lifetimes get offsets (pack.py, exact.py) in banks (banks.py); check.py plays a plan through."""
