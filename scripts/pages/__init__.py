"""What the pages' tables and figures are made of: functions that read the tables of results."""
