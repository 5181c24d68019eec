"""Files of incidents: read line by line into raw attributes, and written again."""
