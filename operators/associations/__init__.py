"""Associations: which memories belong together, over all sessions of a conversation."""
