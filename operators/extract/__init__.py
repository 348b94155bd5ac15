"""Extraction of facts from messages: rules here, models beside them."""
