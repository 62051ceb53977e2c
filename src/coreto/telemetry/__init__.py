"""What an operator sees of the calls: metrics, traces and logs. Never what was asked or answered."""
