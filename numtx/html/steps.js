"use strict";

// The steps of a generation: one is shown at a time, by a slider.

(() => {
  const slider = document.getElementById("slider");
  if (!slider) return;
  const steps = [...document.querySelectorAll(".step")];

  function show() {
    const number = Number(slider.value);
    steps.forEach((step, i) => (step.hidden = i !== number));
    const { phase } = steps[number].dataset;
    slider.setAttribute("aria-valuetext", phase);
    document.getElementById("phase").textContent = `${phase} (${number + 1} / ${steps.length})`;
  }

  const move = (by) => () => {
    slider.value = Number(slider.value) + by;
    show();
  };
  slider.addEventListener("input", show);
  document.getElementById("before").addEventListener("click", move(-1));
  document.getElementById("after").addEventListener("click", move(1));
  show();
})();
