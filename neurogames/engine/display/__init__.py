"""What people look at: plots and tables of results; matplotlib, pandas and xarray are loaded when asked for."""
