"""Files in and out: one small reader per format, outputs that appear whole or not at all."""
