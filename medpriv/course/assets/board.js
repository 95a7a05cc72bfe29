// Shows the frame that a board's controls choose. Its data, as board.py writes them:
//   positions: what each slider can be set to, and nothing for a list to choose from
//   told: the same as a screen reader says it
//   images: addresses of pictures
//   frames: the choice of each control; for each figure the number of its image, the text in its
//     place and its score; a sentence, or nothing
(function () {
  const PAUSE = 250; // milliseconds between two frames that play

  // Offers what goes with the choices so far; the old choice stays where it can.
  function offer(list, choices) {
    const before = list.value;
    const offered = [...new Set(choices)];
    const shown = [...list.options].map((option) => option.value);
    if (JSON.stringify(shown) === JSON.stringify(offered)) return;
    list.replaceChildren(...offered.map((choice) => new Option(choice, choice)));
    if (offered.includes(before)) list.value = before;
  }

  function begin(box) {
    const data = JSON.parse(box.querySelector('script[type="application/json"]').textContent);
    const controls = [...box.querySelectorAll("input, select")];
    const figures = [...box.querySelectorAll("figure")];
    const said = box.querySelector(".said");

    function chosen() {
      let frames = data.frames;
      controls.forEach((control, at) => {
        if (!data.positions[at]) offer(control, frames.map((frame) => frame.choice[at]));
        const choice = data.positions[at] ? data.positions[at][control.value] : control.value;
        frames = frames.filter((frame) => frame.choice[at] === choice);
      });
      return frames[0];
    }

    function show() {
      const frame = chosen();
      controls.forEach((control, at) => {
        if (!data.positions[at]) return;
        control.setAttribute("aria-valuetext", data.told[at][control.value]);
        control.nextElementSibling.textContent = frame.choice[at];
      });
      frame.pictures.forEach((picture, at) => {
        const image = figures[at].querySelector("img");
        const score = figures[at].querySelector(".score");
        image.src = data.images[picture.image];
        image.alt = picture.alt;
        if (score) score.textContent = picture.score;
      });
      if (said) said.textContent = frame.said;
    }

    box.addEventListener("input", show);
    const button = box.querySelector("button");
    if (button) film(box, controls[0], button, show);
  }

  // Plays through the positions of a slider when asked to, and stops at the last.
  function film(box, slider, button, show) {
    const captions = box.querySelectorAll("figcaption[aria-live]");
    const atEnd = () => slider.value === slider.max;
    let timer = null;

    function move(position) {
      slider.value = position;
      show();
    }

    function play(on) {
      clearInterval(timer);
      timer = on ? setInterval(advance, PAUSE) : null;
      button.textContent = on ? "Pause" : "Play";
      // Four frames a second are too many to be read out.
      captions.forEach((caption) => caption.setAttribute("aria-live", on ? "off" : "polite"));
    }

    function advance() {
      if (!atEnd()) move(Number(slider.value) + 1);
      if (atEnd()) play(false);
    }

    button.addEventListener("click", () => {
      const on = timer === null;
      play(on);
      if (on && atEnd()) move(0);
    });
    slider.addEventListener("input", () => play(false));
  }

  // Each board brings this script along; whichever runs takes the boards that are there and new.
  document.querySelectorAll(".medpriv-box:not([data-begun])").forEach((box) => {
    box.dataset.begun = "";
    begin(box);
  });
})();
