"""How work runs: clock, queue, threads and rate limits. Knows neither Kubernetes nor a cloud; everybody above may
import it.
"""
