"""The tasks of the lab as problems in meanings; ``lab.rows`` says them in a language, with the Hub's columns."""
