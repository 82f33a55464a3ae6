"""Instructions counted exactly and Cortex-M7 cycles modelled over what a simulator executes (docs/performance.md)."""
