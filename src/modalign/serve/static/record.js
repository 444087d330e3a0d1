// The microphone: what MediaRecorder gives is decoded here and sent as a plain WAV file, which any server can read.

const LONGEST = 20; // seconds
const RATE = 44100; // Hz

export class Recorder {
  constructor(button, done, problem) {
    this.button = button; this.done = done; this.problem = problem;
    this.running = null;
    button.addEventListener("click", () => (this.running ? this.running.stop() : this.start()));
  }

  async start() {
    let stream;
    try { stream = await navigator.mediaDevices.getUserMedia({ audio: true }); } catch {
      this.problem("The microphone cannot be used: allow it in the browser, and use this page on the same machine or over HTTPS.");
      return;
    }
    const parts = [];
    const recorder = new MediaRecorder(stream);
    recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
    recorder.addEventListener("stop", () => {
      for (const track of stream.getTracks()) track.stop();
      clearTimeout(this.limit);
      this.running = null; this.look(false);
      this.finish(new Blob(parts, { type: recorder.mimeType }));
    });
    this.running = recorder;
    this.limit = setTimeout(() => this.running?.stop(), 1000 * LONGEST);
    recorder.start();
    this.look(true);
  }

  look(on) {
    this.button.classList.toggle("recording", on);
    this.button.setAttribute("aria-pressed", String(on));
    this.button.textContent = on ? "Stop recording" : "Record";
  }

  async finish(blob) {
    // Offline: decoding needs no device for output, and none of the threads that serve one in real time.
    const context = new OfflineAudioContext(1, 1, RATE);
    try {
      const sound = await context.decodeAudioData(await blob.arrayBuffer());
      this.done(wav(sound), "recording.wav");
    } catch { this.problem("The recording cannot be read: record for a little longer."); }
  }
}

// An AudioBuffer as mono 16-bit WAV.
export function wav(sound) {
  const n = sound.length;
  const mono = new Float32Array(n);
  for (let c = 0; c < sound.numberOfChannels; c += 1) {
    const channel = sound.getChannelData(c);
    for (let i = 0; i < n; i += 1) mono[i] += channel[i] / sound.numberOfChannels;
  }
  const view = new DataView(new ArrayBuffer(44 + 2 * n));
  const text = (at, words) => [...words].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * n, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, sound.sampleRate, true); view.setUint32(28, 2 * sound.sampleRate, true);
  view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * n, true);
  for (let i = 0; i < n; i += 1) view.setInt16(44 + 2 * i, 32767 * Math.max(-1, Math.min(1, mono[i])), true);
  return new Blob([view], { type: "audio/wav" });
}
