"""The form of SaladCloud's answers and of our requests; the only place that knows marshmallow."""
