"""What every analyzer must keep."""
