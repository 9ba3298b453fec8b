"""No sequence of events, faults and races removes an image that is used; and in the end what is unused is gone."""
