"""Calls and plan to the texts of model.h and model.c."""
