"""Objectives of an encoder and a decoder: what is read, and what is asked for."""
