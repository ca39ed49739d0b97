"""What the plots of the console are made of: counts by the minute and by the hour."""
