"""What a loop gets better at: the two built-in domains, reached by their entry points like any other."""
