"""A campaign: planned, forecast, run, resumed, and run like another one."""
