"""Many runs that differ in chosen keys, trained beside each other."""
