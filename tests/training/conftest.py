"""What is no test module here: the program that each process of the distributed tests runs."""

collect_ignore = ["on_ranks.py"]
