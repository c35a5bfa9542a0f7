"""Files of labelled data and where data comes from."""
