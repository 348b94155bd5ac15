"""Event time: watermarks, session windows, panes, lateness."""
