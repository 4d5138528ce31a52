"""What every problem must keep."""
