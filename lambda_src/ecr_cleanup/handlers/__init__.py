"""The Lambda entry points. The only places that read settings and build clients."""
