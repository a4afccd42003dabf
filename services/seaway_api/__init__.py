"""The Docker Engine HTTP API: what Docker's clients say, told to the services of the suite, and their answers back."""
