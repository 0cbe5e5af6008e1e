"use strict";

// Nothing that came from the broker ever becomes markup: all of it goes through textContent.

const KEPT_ROWS = 200;
const CHART_SECONDS = 120;

const $ = (id) => document.getElementById(id);

function element(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

// --- messages -------------------------------------------------------------------------------

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
let waiting = [];
let paused = false;

function row(message) {
  const item = element("li");
  const arrived = new Date(message.time * 1000);
  const time = element("time", "", clock.format(arrived));
  time.dateTime = arrived.toISOString();
  item.append(time, element("span", "topic", message.topic), payload(message), tags(message));
  return item;
}

function payload(message) {
  if (message.size === 0) return element("span", "payload none", "(empty)");
  return element("span", `payload ${message.encoding}`, message.body + (message.cut ? " …" : ""));
}

function tags(message) {
  const list = element("span", "tags");
  if (message.encoding === "hex") list.append(element("span", "tag", "hex"));
  if (message.cut) list.append(element("span", "tag", `${message.size.toLocaleString()} bytes`));
  if (message.retain) list.append(element("span", "tag", "retained"));
  list.append(element("span", "tag", `QoS ${message.qos}`));
  return list;
}

function draw() {
  if (paused || waiting.length === 0) return;
  const list = $("messages");
  list.prepend(...waiting.reverse().map(row));
  waiting = [];
  while (list.children.length > KEPT_ROWS) list.lastElementChild.remove();
  $("empty").hidden = true;
}

function take(messages) {
  if (waiting.length === 0) requestAnimationFrame(draw);
  waiting = waiting.concat(messages).slice(-KEPT_ROWS);
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").classList.toggle("on", paused);
  $("pause").textContent = paused ? "Resume" : "Pause";
  draw();
});

$("clear").addEventListener("click", () => {
  waiting = [];
  $("messages").replaceChildren();
  $("empty").hidden = false;
});

// --- figures --------------------------------------------------------------------------------

const rates = new Array(CHART_SECONDS).fill(0);
let lastBeat = null;

function beat(now) {
  if (lastBeat && now.clock > lastBeat.clock && now.received >= lastBeat.received) {
    const rate = (now.received - lastBeat.received) / (now.clock - lastBeat.clock);
    $("rate").textContent = Math.round(rate).toLocaleString();
    rates.shift();
    rates.push(rate);
    drawChart();
  }
  lastBeat = now;
  $("received").textContent = now.received.toLocaleString();
  $("dropped").textContent = now.dropped.toLocaleString();
  $("dropped-figure").classList.toggle("some", now.dropped > 0);
}

function drawChart() {
  const top = Math.max(4, ...rates);
  const points = rates.map((rate, x) => `${(x * 120) / (CHART_SECONDS - 1)},${(39 - (rate / top) * 36).toFixed(2)}`);
  $("chart-line").setAttribute("points", points.join(" "));
  $("chart-area").setAttribute("points", `0,40 ${points.join(" ")} 120,40`);
}

// --- state ----------------------------------------------------------------------------------

const REFUSALS = {
  1: "it does not speak this version of MQTT",
  2: "it does not accept the client identifier",
  3: "it is not available at the moment",
  4: "user name or password are wrong",
  5: "this client is not allowed in",
};

function showConnection(look, text, notice) {
  $("status").dataset.state = look;
  $("status-text").textContent = text;
  $("notice").textContent = notice;
  $("notice").hidden = notice === "";
}

let device = false;
let topics = "";

function showState(state) {
  $("broker").textContent = state.broker;
  if (state.connected) {
    showConnection("connected", "Connected", "");
    forgetWhatWaited();
  } else if (state.refused) {
    const reason = REFUSALS[state.refused] ?? `code ${state.refused}`;
    showConnection("away", "Refused", `The broker refused the connection: ${reason}. The app keeps trying.`);
  } else {
    showConnection("away", "No connection",
      "The broker is away. The app keeps trying and will restore the subscriptions. " +
      "Until then nothing arrives; what you publish with QoS 1 or 2 is kept and sent later.");
  }
  device = state.device;
  $("device").classList.toggle("on", device);
  $("device").textContent = device ? "Stop" : "Start";
  // Only a change is drawn: to draw takes the keyboard's focus away.
  if (topics === JSON.stringify(state.topics)) return;
  topics = JSON.stringify(state.topics);
  const focused = $("topics").contains(document.activeElement);
  $("topics").replaceChildren(...state.topics.map(topicItem));
  if (focused) $("subscribe-form").elements.topic.focus();
}

function topicItem({ topic, qos }) {
  const item = element("li");
  const button = element("button", "quiet", "Remove");
  button.type = "button";
  button.setAttribute("aria-label", `Unsubscribe from ${topic}`);
  button.addEventListener("click", () => post("unsubscribe", { topic }, $("subscribe-form")));
  item.append(element("code", "", topic), element("span", "tag", `QoS ${qos}`), button);
  return item;
}

// --- requests -------------------------------------------------------------------------------

function say(form, text, { bad = false, waits = false } = {}) {
  const answer = form.querySelector(".answer");
  answer.textContent = text;
  answer.classList.toggle("bad", bad);
  answer.classList.toggle("waits", waits);
}

// What was to happen with the next connection: it is there.
function forgetWhatWaited() {
  for (const answer of document.querySelectorAll(".answer.waits")) {
    answer.textContent = "";
    answer.classList.remove("waits");
  }
}

async function post(action, body, form) {
  let result;
  try {
    const response = await fetch(`api/${action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    result = await response.json();
  } catch {
    result = { ok: false, note: "The app does not answer." };
  }
  say(form, result.note, { bad: !result.ok, waits: result.waits });
  return result;
}

// Which messages the client is done with. The answer to a request may come later than that.
const KEPT_CONFIRMED = 200;
let confirmed = [];
let published = null;

function confirm(identifiers) {
  confirmed = confirmed.concat(identifiers).slice(-KEPT_CONFIRMED);
  if (!published || !confirmed.includes(published.mid)) return;
  const how = published.qos > 0 ? "acknowledged by the broker" : "sent (QoS 0 is not acknowledged)";
  say($("publish-form"), `${clock.format(new Date())} ${published.topic}: ${how}`);
  published = null;
}

$("publish-form").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const form = submitted.target;
  const { topic, payload: text, qos, retain } = form.elements;
  const message = { topic: topic.value, payload: text.value, qos: Number(qos.value), retain: retain.checked };
  published = null;
  const { mid } = await post("publish", message, form);
  if (mid === undefined) return;
  published = { ...message, mid };
  confirm([]);
});

$("subscribe-form").addEventListener("submit", async (submitted) => {
  submitted.preventDefault();
  const form = submitted.target;
  const { topic, qos } = form.elements;
  const { ok } = await post("subscribe", { topic: topic.value, qos: Number(qos.value) }, form);
  if (ok) topic.value = "";
});

$("device").addEventListener("click", () => {
  post("device", { running: !device }, document.querySelector(".device"));
});

// --- the stream -----------------------------------------------------------------------------

const stream = new EventSource("events");
stream.addEventListener("state", (sent) => showState(JSON.parse(sent.data)));
stream.addEventListener("messages", (sent) => take(JSON.parse(sent.data)));
stream.addEventListener("confirmed", (sent) => confirm(JSON.parse(sent.data)));
stream.addEventListener("beat", (sent) => beat(JSON.parse(sent.data)));
stream.addEventListener("error", () => {
  lastBeat = null;
  confirmed = [];
  showConnection("away", "No connection", "The app does not answer. Is it still running? This page keeps trying.");
});
