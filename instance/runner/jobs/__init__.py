"""The verbs that start, watch and end jobs, and the processes that stand over them."""
