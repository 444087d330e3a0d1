"""Speed and memory against peers. Each script prints a table; see __main__.py."""
