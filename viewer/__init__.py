"""Looking at models in a web browser, finished ones and those in training."""
