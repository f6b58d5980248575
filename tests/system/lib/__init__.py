"""Helpers of the system tests: raw MQTT packets, clients, brokers."""
