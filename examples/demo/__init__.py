"""The demo: a page that shows MQTT messages arrive and lets one subscribe and publish.

`app` is the application, and the module to copy from: a factory, an extension object made at
import, handlers, views. `hub` hands messages to the browsers, `device` is the example device,
`broker` is the broker for those who have none.
"""
