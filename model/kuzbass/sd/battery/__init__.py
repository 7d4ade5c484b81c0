"""Tests of any Vensim model: structure, units, parameters, extreme conditions, integration error.

After the canon of Forrester and Senge (1980), Barlas (1996) and Sterman (2000, chapter 21).  Each
module holds one kind of test; what a model must conserve or bound is an argument.
"""
