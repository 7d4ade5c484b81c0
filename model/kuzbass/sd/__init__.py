"""System dynamics: reads a Vensim model, checks it and simulates it.

Nothing in here knows what the model is about.
"""
