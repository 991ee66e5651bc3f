# Writes cases.json, Ovary.csv and Dialyzer.csv beside this file: nlme::gls on its own data sets, each model by several
# optimisers run to tight tolerances, the best of them kept.   Rscript make.R   (R 4.2.2, nlme 3.1-162)
suppressMessages({library(nlme); library(jsonlite)})

ovary <- as.data.frame(Ovary)
ovary$Mare <- factor(as.character(ovary$Mare))
ovary$Step <- ave(ovary$Time, ovary$Mare, FUN = function(x) rank(x))
ovary$Time <- as.numeric(sprintf("%.15g", ovary$Time))
dialyzer <- as.data.frame(Dialyzer)
dialyzer$Subject <- factor(as.character(dialyzer$Subject))
write.csv(ovary[, c("Mare", "Time", "Step", "follicles")], "Ovary.csv", row.names = FALSE, quote = FALSE)
write.csv(dialyzer[, c("Subject", "QB", "pressure", "rate", "index")], "Dialyzer.csv", row.names = FALSE, quote = FALSE)
ovary <- read.csv("Ovary.csv"); ovary$Mare <- factor(ovary$Mare)
gaps <- ovary[(seq_len(nrow(ovary)) %% 7) %in% c(0, 1, 3, 4, 5), ]   # rows whose number (from 1) leaves 0, 1, 3, 4, 5
orthodont <- as.data.frame(Orthodont); orthodont$Subject <- factor(as.character(orthodont$Subject))
orthodont$visit <- as.integer(factor(orthodont$age))
weight <- as.data.frame(BodyWeight); weight$Rat <- factor(as.character(weight$Rat))
cubic <- rate ~ (pressure + I(pressure^2) + I(pressure^3) + I(pressure^4)) * QB
wave <- follicles ~ sin(2*pi*Time) + cos(2*pi*Time)
growth <- distance ~ Sex * I(age - 11)

controls <- list(
  default = glsControl(),
  tight = glsControl(maxIter = 500, msMaxIter = 2000, tolerance = 1e-12, msTol = 1e-13),
  bfgs = glsControl(opt = "optim", maxIter = 500, msMaxIter = 2000, tolerance = 1e-12, msTol = 1e-14))

case <- function(id, call, residual = NULL, variance = NULL) {
  call <- substitute(call)
  fits <- list(); reached <- list()
  for (name in names(controls)) {
    ctl <- controls[[name]]
    fit <- try({ full <- call; full$control <- quote(ctl); eval(full) }, silent = TRUE)
    if (inherits(fit, "try-error")) { reached[[name]] <- NA; next }
    fits[[name]] <- fit; reached[[name]] <- as.numeric(logLik(fit))
  }
  best <- fits[[names(which.max(unlist(reached)))]]
  cs <- best$modelStruct$corStruct; vs <- best$modelStruct$varStruct
  ll <- logLik(best)
  list(id = id, call = paste(deparse(call, width.cutoff = 500), collapse = " "), reached = reached,
       reml = best$method == "REML", loglik = as.numeric(ll), npar = attr(ll, "df"), aic = AIC(best), bic = BIC(best),
       sigma = best$sigma, coef = unname(coef(best)), se = unname(sqrt(diag(vcov(best)))),
       vcov_lower = vcov(best)[lower.tri(vcov(best), diag = TRUE)],
       correlation = if (is.null(cs)) NULL else unname(coef(cs, unconstrained = FALSE)),
       variance = if (is.null(vs)) NULL else unname(coef(vs, unconstrained = FALSE)),
       fitted3 = unname(head(fitted(best), 3)), normalized = unname(as.numeric(residuals(best, type = "normalized"))[1:6]),
       pearson3 = unname(as.numeric(residuals(best, type = "pearson"))[1:3]))
}

cases <- list(
  case("ovary_ar1", gls(wave, ovary, correlation = corAR1(form = ~Step | Mare))),
  case("ovary_ar1_ml", gls(wave, ovary, correlation = corAR1(form = ~Step | Mare), method = "ML")),
  case("ovary_ar1_gaps", gls(wave, gaps, correlation = corAR1(form = ~Step | Mare))),
  case("ovary_ar1_one_series", gls(follicles ~ sin(2*pi*Time), subset(ovary, Mare == "1"), correlation = corAR1(form = ~Step))),
  case("ovary_car1_ml", gls(wave, ovary, correlation = corCAR1(form = ~Time | Mare), method = "ML")),
  case("ovary_arma11", gls(wave, ovary, correlation = corARMA(form = ~Step | Mare, p = 1, q = 1))),
  case("ovary_arma20", gls(wave, ovary, correlation = corARMA(form = ~Step | Mare, p = 2))),
  case("ovary_arma02", gls(wave, ovary, correlation = corARMA(form = ~Step | Mare, q = 2))),
  case("ovary_arma21_gaps_ml", gls(wave, gaps, correlation = corARMA(form = ~Step | Mare, p = 2, q = 1), method = "ML")),
  case("ovary_exp_nugget", gls(wave, ovary, correlation = corExp(form = ~Time | Mare, nugget = TRUE))),
  case("orthodont_cs", gls(growth, orthodont, correlation = corCompSymm(form = ~1 | Subject))),
  case("orthodont_cs_ml", gls(growth, orthodont, correlation = corCompSymm(form = ~1 | Subject), method = "ML")),
  case("orthodont_csh", gls(growth, orthodont, correlation = corCompSymm(form = ~1 | Subject), weights = varIdent(form = ~1 | age))),
  case("orthodont_cor", gls(growth, orthodont, correlation = corSymm(form = ~visit | Subject))),
  case("orthodont_us", gls(growth, orthodont, correlation = corSymm(form = ~visit | Subject), weights = varIdent(form = ~1 | age))),
  case("orthodont_us_missing_ml", gls(growth, orthodont[-c(2, 7, 8, 21, 40, 63, 64, 90), ], method = "ML",
       correlation = corSymm(form = ~visit | Subject), weights = varIdent(form = ~1 | age))),
  case("orthodont_toep", gls(growth, orthodont, correlation = corARMA(form = ~visit | Subject, p = 3))),
  case("orthodont_toeph", gls(growth, orthodont, correlation = corARMA(form = ~visit | Subject, p = 3), weights = varIdent(form = ~1 | age))),
  case("orthodont_ar1h", gls(growth, orthodont, correlation = corAR1(form = ~visit | Subject), weights = varIdent(form = ~1 | age))),
  case("orthodont_diag", gls(growth, orthodont, weights = varIdent(form = ~1 | age))),
  case("orthodont_ar1_ident", gls(growth, orthodont, correlation = corAR1(form = ~visit | Subject), weights = varIdent(form = ~1 | Sex))),
  case("dialyzer_power", gls(cubic, dialyzer, weights = varPower(form = ~pressure))),
  case("dialyzer_power_strata", gls(cubic, dialyzer, weights = varPower(form = ~pressure | QB))),
  case("dialyzer_power_ar1", gls(cubic, dialyzer, weights = varPower(form = ~pressure), correlation = corAR1(form = ~index | Subject))),
  case("dialyzer_exp_ml", gls(cubic, dialyzer, weights = varExp(form = ~pressure), method = "ML")),
  case("dialyzer_ident_power", gls(cubic, dialyzer, weights = varComb(varIdent(form = ~1 | QB), varPower(form = ~pressure)))),
  case("dialyzer_fixed", gls(cubic, dialyzer, weights = varFixed(~pressure))),
  case("cars_power", gls(dist ~ speed, cars, weights = varPower(form = ~speed))),
  case("cars_const_power", gls(dist ~ speed, cars, weights = varConstPower(form = ~speed, const = 1, power = 1))),
  case("cars_power_fitted", gls(dist ~ speed, cars, weights = varPower())),
  case("weight_exp_nugget", gls(weight ~ Time * Diet, weight, correlation = corExp(form = ~Time | Rat, nugget = TRUE))),
  case("weight_car1_power", gls(weight ~ Time * Diet, weight, correlation = corCAR1(form = ~Time | Rat), weights = varPower(form = ~Time)))
)
names(cases) <- vapply(cases, function(x) x$id, "")
write(toJSON(cases, digits = 15, auto_unbox = TRUE, null = "null", na = "null", pretty = TRUE), "cases.json")
for (x in cases) cat(x$id, x$loglik, x$sigma, unlist(x$reached), "\n")
