"""What calls cost and how long they take: recording, prices, reports."""
