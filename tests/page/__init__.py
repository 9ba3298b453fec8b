"""The page that shows a report, in a real browser."""
