"""Experiments of many readings: passkey retrieval, effective context, capacity, evidence, cost."""
