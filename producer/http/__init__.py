"""The HTTP door: requests in, outcomes and jobs out, over the same client that the commands use (`packsight serve`)."""
