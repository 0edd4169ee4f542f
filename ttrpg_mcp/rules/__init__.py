"""Pure game rules: values in, values out; no clock, disk or chance of their own."""
