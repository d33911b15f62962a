"""The lab: small generated languages of controlled typology, tasks in all of them, and a pico XLM-R."""
