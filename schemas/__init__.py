"""What the data is: message model, Arrow schemas, table registry and SQL views."""
